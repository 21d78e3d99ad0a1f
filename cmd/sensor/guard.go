package main

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"mirrorscope/nic"
)

func newGuard(s *streams) *cobra.Command {
	var list []uint
	var shared, remove, force bool
	cmd := &cobra.Command{
		Use:   "guard [flags] INTERFACE",
		Short: "Print a script for nft that keeps a capture interface silent",
		Long: `Print a script for 'nft -f -' that makes the kernel drop what comes in by the interface,
after the capture has had it, and what is to be sent by it. It then answers nobody: no
ARP, no ICMP, no TCP reset. The table stays when the sensor ends or is killed; a unit file
can install it before the sensor starts. Where there is one already it is replaced without
a gap. 'sensor run' installs the same by itself (capture.guard).

With --shared the interface carries this machine's own traffic as well: only mirror
traffic that comes in is dropped, by its UDP port, and ERSPAN, so that no ICMP port
unreachable goes back. Take a port out, with --port for the others, if this machine
speaks that tunnel itself.

A kernel before 5.16 cannot drop what is sent: there, switch IPv6 off as well
('sensor check' tells how).

Exit status: 0 the script was printed; 1 the interface is the way to this machine, and
would be silenced; 2 wrong usage.`,
		Example: `  sensor guard eth1 | nft -f -
  sensor guard --shared --port 4789 eth0 | nft -f -
  sensor guard --remove eth1 | nft -f -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("guard takes one interface, got %d", len(args))
			}
			if err := nic.ValidName(args[0]); err != nil {
				return usageError{err}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			given := cmd.Flags().Changed
			c := nic.DefaultGuardConfig()
			c.Shared = shared
			if given("port") {
				var err error
				if c.Ports, err = ports(list); err != nil {
					return usagef("--port: %w", err)
				}
				slices.Sort(c.Ports)
				c.Ports = slices.Compact(c.Ports)
			}
			switch {
			case given("port") && !shared:
				return usagef("--port: without --shared everything is dropped, whatever its port")
			case remove && (shared || force):
				return usagef("--remove takes the whole guard away; leave the other flags out")
			}
			script := nic.UnguardScript(args[0])
			if !remove {
				if err := guardable(s, args[0], c, force); err != nil {
					return err
				}
				script = nic.GuardScript(args[0], c, hasEgress())
			}
			if _, err := io.WriteString(s.out, script); err != nil {
				return outputError(err)
			}
			return nil
		},
	}
	fs := cmd.Flags()
	fs.BoolVar(&shared, "shared", false, "drop only mirror traffic: this machine uses the interface, too")
	fs.UintSliceVar(&list, "port", nil, "with --shared: drop UDP to `PORT`, in place of 4789, 4790, 6081, 8472 and 37008; repeatable")
	fs.BoolVar(&remove, "remove", false, "print the script that takes the guard away")
	fs.BoolVar(&force, "force", false, "silence the interface even if this machine is reached by it: a default route, a TCP connection")
	return cmd
}

// guardable keeps an operator from locking himself out. A script for another
// machine, or for an interface that is yet to come, is printed with a note.
func guardable(s *streams, ifname string, c nic.GuardConfig, force bool) error {
	err := nic.CanSilence(ifname, c)
	switch {
	case err == nil, force:
		return nil
	case errors.Is(err, nic.ErrReachable):
		return fmt.Errorf("%s: %w; take --shared, or --force", ifname, err)
	}
	s.complain("note: %v", err)
	return nil
}

// hasEgress tells whether this kernel drops what is sent. One that is not known
// is taken for a new one: nft then says what it lacks.
func hasEgress() bool {
	kernel, err := nic.Kernel()
	return err != nil || nic.HasEgress(kernel)
}
