# Federated identity credentials that the service accounts need. Run it with `sh -e`, or paste it into PowerShell.
# One after another: Azure refuses to write two of one identity at once.

# application 22222222-2222-4222-8222-222222222221
az ad app federated-credential create --id 22222222-2222-4222-8222-222222222221 --parameters federated-credentials.d/22222222-2222-4222-8222-222222222221.shop.cart.json
