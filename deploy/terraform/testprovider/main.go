// Command testprovider stands in for the Terraform providers that the modules
// in this folder use, so that `terraform validate`, `plan`, `test` and `apply`
// run without a registry, a network or an account.
//
// It knows the real providers' schemas (schemas/*.json, cut down to the
// resources that the modules use) and the rules that a schema does not tell
// (rules.go). Which provider it is, it takes from the name it was started by,
// terraform-provider-aws_v6.47.0: a symbolic link is enough. Applying makes up
// what the cloud would answer: identifiers, addresses, names (answers.go).
//
// It has a module of its own, so that the product's go.mod lists only what the
// product uses.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
)

func main() {
	if err := run(filepath.Base(os.Args[0])); err != nil {
		fmt.Fprintln(os.Stderr, "testprovider:", err)
		os.Exit(1)
	}
}

// run serves the provider that the program's name names.
func run(program string) error {
	name, _, _ := strings.Cut(strings.TrimPrefix(program, "terraform-provider-"), "_v")
	p, err := load(name)
	if err != nil {
		return fmt.Errorf("started as %q: %w", program, err)
	}
	return tf6server.Serve("registry.terraform.io/"+p.source, func() tfprotov6.ProviderServer { return &server{provider: p} })
}
