// An app that asks for one token and tells in one JSON line what it got: {"token": …} or {"error": …}, and "took_ms".
//
//	get-token --credential managed|default [--client-id X | --resource-id Y] --scope S
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

var (
	credential = flag.String("credential", "", "managed or default")
	clientID   = flag.String("client-id", "", "of a user-assigned identity")
	resourceID = flag.String("resource-id", "", "of a user-assigned identity")
	scope      = flag.String("scope", "", "of the token")
)

type told struct {
	Token  string `json:"token,omitempty"`
	Error  string `json:"error,omitempty"`
	TookMs int64  `json:"took_ms"`
}

func main() {
	flag.Parse()
	if err := tell(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func tell(to *os.File) error {
	start := time.Now()
	asker, err := newCredential()
	if err != nil {
		return err
	}
	answer := told{}
	token, err := asker.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{*scope}})
	if err != nil {
		answer.Error = err.Error()
	}
	answer.Token = token.Token
	answer.TookMs = time.Since(start).Milliseconds()
	return json.NewEncoder(to).Encode(answer)
}

func newCredential() (azcore.TokenCredential, error) {
	switch *credential {
	case "managed":
		return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ID: identity()})
	case "default":
		return azidentity.NewDefaultAzureCredential(nil)
	default:
		return nil, fmt.Errorf("no credential is named %q", *credential)
	}
}

func identity() azidentity.ManagedIDKind {
	switch {
	case *clientID != "":
		return azidentity.ClientID(*clientID)
	case *resourceID != "":
		return azidentity.ResourceID(*resourceID)
	default:
		return nil
	}
}
