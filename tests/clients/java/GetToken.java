import com.azure.core.credential.TokenCredential;
import com.azure.core.credential.TokenRequestContext;
import com.azure.core.exception.ClientAuthenticationException;
import com.azure.identity.DefaultAzureCredentialBuilder;
import com.azure.identity.ManagedIdentityCredentialBuilder;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.HashMap;
import java.util.Map;

/**
 * An app that asks for one token and tells in one JSON line what it got: {"token": …} or {"error": …}, and "took_ms".
 *
 * <p>GetToken --credential managed|default [--client-id X | --resource-id Y] --scope S [--warm-up S]
 *
 * <p>With --warm-up it has got a token before, for that scope and of the pod's own identity: a virtual machine that has
 * just started loads classes, which takes as long as a busy machine makes it.
 */
public final class GetToken {
    public static void main(String[] arguments) throws Exception {
        Map<String, String> wanted = new HashMap<>();
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            wanted.put(arguments[i], arguments[i + 1]);
        }
        if (wanted.containsKey("--warm-up")) {
            TokenRequestContext other = new TokenRequestContext().addScopes(wanted.get("--warm-up"));
            new ManagedIdentityCredentialBuilder().build().getTokenSync(other);
        }
        System.out.println(new ObjectMapper().writeValueAsString(ask(wanted)));
    }

    private static Map<String, Object> ask(Map<String, String> wanted) {
        Map<String, Object> told = new HashMap<>();
        long start = System.nanoTime();
        try {
            TokenRequestContext request = new TokenRequestContext().addScopes(wanted.get("--scope"));
            told.put("token", credential(wanted).getTokenSync(request).getToken());
        } catch (ClientAuthenticationException error) {
            told.put("error", withCauses(error));
        }
        told.put("took_ms", (System.nanoTime() - start) / 1_000_000);
        return told;
    }

    /** What a log shows: an exception and what it was caused by. */
    private static String withCauses(Throwable error) {
        String cause = error.getCause() == null ? "" : "; caused by: " + withCauses(error.getCause());
        return error.getMessage() + cause;
    }

    private static TokenCredential credential(Map<String, String> wanted) {
        switch (wanted.get("--credential")) {
            case "managed":
                return new ManagedIdentityCredentialBuilder()
                    .clientId(wanted.get("--client-id"))
                    .resourceId(wanted.get("--resource-id"))
                    .build();
            case "default":
                return new DefaultAzureCredentialBuilder().build();
            default:
                throw new IllegalArgumentException(wanted.get("--credential"));
        }
    }
}
