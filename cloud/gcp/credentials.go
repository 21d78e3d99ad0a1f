package gcp

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"

	"google.golang.org/api/option"
)

// kinds of credential files that can be read without running a program.
var kinds = []option.CredentialsType{option.ServiceAccount, option.AuthorizedUser, option.ImpersonatedServiceAccount, option.ExternalAccount}

// credentialsType reads what kind of credentials a file has: the client wants to be
// told, so that a file of another kind than meant does nothing.
func credentialsType(file string) (option.CredentialsType, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // only read from
	var content struct {
		Type option.CredentialsType `json:"type"`
	}
	if err := json.NewDecoder(io.LimitReader(f, 1<<20)).Decode(&content); err != nil {
		return "", fmt.Errorf("%s: no JSON: %w", file, err)
	}
	if !slices.Contains(kinds, content.Type) {
		return "", fmt.Errorf("%s: type %q; take one of %q", file, content.Type, kinds)
	}
	return content.Type, nil
}
