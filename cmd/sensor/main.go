// Command sensor tells who talks to whom, how fast, and where time and packets
// get lost, from a copy of the packets.
//
// Exit status: 0 done, 1 runtime error, 2 usage.
package main

import "os"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
