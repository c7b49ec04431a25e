// An app that asks for one token and tells in one JSON line what it got: {"token": …} or {"error": …}, and "took_ms".
//
// get-token.js --credential managed|default [--client-id X | --resource-id Y] --scope S

import { parseArgs } from "node:util";
import { DefaultAzureCredential, ManagedIdentityCredential } from "@azure/identity";

const text = { type: "string" };
const { values: wanted } = parseArgs({
  options: { credential: text, "client-id": text, "resource-id": text, scope: text },
});

const credentials = {
  managed: () =>
    new ManagedIdentityCredential({ clientId: wanted["client-id"], resourceId: wanted["resource-id"] }),
  default: () => new DefaultAzureCredential({ managedIdentityClientId: wanted["client-id"] }),
};

async function ask() {
  try {
    const { token } = await credentials[wanted.credential]().getToken(wanted.scope);
    return { token };
  } catch (error) {
    return { error: error.message };
  }
}

const start = performance.now();
const told = await ask();
console.log(JSON.stringify({ ...told, took_ms: Math.round(performance.now() - start) }));
