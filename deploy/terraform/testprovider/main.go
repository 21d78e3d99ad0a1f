// Command testprovider stands in for the Terraform providers that the modules
// in this folder use, so that `terraform validate`, `plan`, `test` and `apply`
// run without a registry, a network or an account.
//
// It knows the real providers' schemas (schemas/*.json, cut down to the
// resources that the modules use) and the rules that a schema does not tell
// (rules.go). Applying makes up what the cloud would answer: identifiers,
// addresses, names (answers.go).
//
// Started by Terraform, it takes from its own name which provider it is,
// terraform-provider-aws_v6.47.0: a symbolic link is enough. Started as
//
//	testprovider attach
//
// it is all of them at once, for any number of Terraforms, which saves each the
// start of its providers: it prints what TF_REATTACH_PROVIDERS takes, and ends
// when its standard input does.
//
// It has a module of its own, so that the product's go.mod lists only what the
// product uses.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
)

func main() {
	program := filepath.Base(os.Args[0])
	work := func() error { return run(program) }
	if len(os.Args) == 2 && os.Args[1] == "attach" {
		work = attach
	}
	if err := work(); err != nil {
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
	return serve(p)
}

func serve(p *provider, options ...tf6server.ServeOpt) error {
	return tf6server.Serve(p.address(), func() tfprotov6.ProviderServer { return &server{provider: p} }, options...)
}

// reattach is an entry of TF_REATTACH_PROVIDERS.
type reattach struct {
	Protocol        string
	ProtocolVersion int
	Pid             int
	Test            bool
	Addr            struct{ Network, String string }
}

// attach serves every provider until standard input ends.
func attach() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	entries, err := files.ReadDir("schemas")
	if err != nil {
		return err
	}
	all := map[string]reattach{}
	var ended []chan struct{}
	for _, e := range entries {
		p, err := load(strings.TrimSuffix(e.Name(), ".json"))
		if err != nil {
			return err
		}
		configs, end := make(chan *plugin.ReattachConfig, 1), make(chan struct{})
		failed := make(chan error, 1)
		go func() {
			failed <- serve(p, tf6server.WithDebug(ctx, configs, end), tf6server.WithoutLogStderrOverride())
		}()
		select {
		case c := <-configs:
			r := reattach{Protocol: string(c.Protocol), ProtocolVersion: 6, Pid: c.Pid, Test: true}
			r.Addr.Network, r.Addr.String = c.Addr.Network(), c.Addr.String()
			all[p.address()] = r
			ended = append(ended, end)
		case err := <-failed:
			return fmt.Errorf("%s: %w", p.source, err)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(all); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // the end is what is waited for
	cancel()
	for _, end := range ended {
		<-end
	}
	return nil
}
