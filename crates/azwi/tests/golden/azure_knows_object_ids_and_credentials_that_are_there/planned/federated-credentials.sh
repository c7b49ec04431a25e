# Federated identity credentials that the service accounts need. Run it with `sh -e`, or paste it into PowerShell.
# One after another: Azure refuses to write two of one identity at once.

# /subscriptions/11111111-2222-4333-8444-555555555555/resourcegroups/shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/cart
az identity federated-credential update --subscription "11111111-2222-4333-8444-555555555555" --resource-group "shop" --identity-name "cart" --name "other-audience" --issuer "https://issuer.example/cluster/" --subject "system:serviceaccount:shop:ledger" --audiences "api://AzureADTokenExchange"
az identity federated-credential create --subscription "11111111-2222-4333-8444-555555555555" --resource-group "shop" --identity-name "cart" --name "shop-queue-3dea53cebedf" --issuer "https://issuer.example/cluster/" --subject "system:serviceaccount:shop:queue" --audiences "api://AzureADTokenExchange"
