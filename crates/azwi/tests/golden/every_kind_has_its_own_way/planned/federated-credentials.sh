# Federated identity credentials that the service accounts need. Run it with `sh -e`, or paste it into PowerShell.
# One after another: Azure refuses to write two of one identity at once.

# /subscriptions/11111111-2222-4333-8444-555555555555/resourcegroups/shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/cart
az identity federated-credential create --subscription "11111111-2222-4333-8444-555555555555" --resource-group "shop" --identity-name "cart" --name "shop-cart-5ee9ec0ff892" --issuer "https://issuer.example/cluster/" --subject "system:serviceaccount:shop:cart" --audiences "api://AzureADTokenExchange"
