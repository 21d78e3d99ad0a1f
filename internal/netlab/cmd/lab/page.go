package main

import (
	"fmt"
	"io"

	"mirrorscope/internal/netlab"
	"mirrorscope/internal/netlab/accuracy"
)

// intro and notes are the words of the page. Whoever changes them changes them
// here: `make lab` writes the page anew.
const intro = `# How accurate the numbers are

<!-- Written by make lab. -->

Two Linux kernels talk over a network whose faults are planned. The program that carries their packets knows what befell each of
them: where it was lost, delayed, overtaken or copied. The kernels keep their own account (TCP_INFO and the TcpExt counters), and both
accounts must agree before a run counts. What they agree on is the truth that each tool is compared with, over captures at the client,
in the middle and at the server, and over worse captures made from those: every packet twice, packets missing, one direction late,
one direction only, begun in mid-stream, frames cut.

Over the same network real programs speak TLS and HTTP: crypto/tls and net/http of Go, and OpenSSL. They write down their keys, and with
those the lab reads all that it carried: it knows the octet that ends a handshake, and the packet in which that passed each tap. Keys,
look-ups, clients and handlers take as long as they are told to, and the programs keep their own clocks. What an end took is the time from
the packet that completed what it waited for to the packet in which it answered, both at its own device.

Each cell has **exact / withheld / wrong**, and the worst error of a claim where there is one. Exact is within the target's tolerance;
withheld is not said, or marked as not certain; wrong is claimed and not so. Where a tool has no such number, every case is withheld;
a tool of which no figure of a table is read has no column there. A flow is what one side of a connection sent. The runs are real, so
figures differ a little from one run to the next.

`

const notes = `
## What cannot be known, and why

- **A lost tail that looks new.** When everything from some packet to the end of a flight is lost before the tap, nothing is missing in
  what was recorded: the repeats are new data there. A gap in the IPv4 identification after a pause gives them away, and its width how
  many are missing; of two or three one is counted, since the others may be probes for it, and of more all but one. Where the
  sender's next bare acknowledgement is recorded first, its sequence number shows the loss, and nothing needs to be inferred.
- **Needless repeats without selective acknowledgements.** After a timeout the sender repeats everything behind the hole, whether it had
  arrived or not, and the one acknowledgement that follows covers both. The packets do not tell which it was; such repeats count as
  needed.
- **Tail loss probe or timeout.** With one segment in flight, Linux lets the probe wait as long as the timeout would. The packets are the
  same then, and so is their time.
- **Repeats of SYN and SYN-ACK.** Whether the first SYN arrived is known by its answer. Where the answer is lost before it comes to the
  tap, both explanations look alike.
- **One direction recorded late**, beyond the round trip to the nearer host: acknowledgements are recorded before what they
  acknowledge. Time stamps and identifications tell repeats from late data; without both, some are marked as ambiguous.
- **Outcome of a connection without an answer.** The capture ends before the timeout does.
- **A side that sent nothing but a reset** has no retransmissions to speak of.
- **Response time** on a path whose base is not known, because every round trip recorded may contain time to think.
- **Jitter of the path.** A round trip that was longer than the base looks like time that an end took. The rows allow for what the packets of
  that very exchange were late; those against the ends' own clocks do not.
- **A ClientHello or a last Finished lost before the tap.** The ends waited for the repeat, the tap saw one packet only.
- **The end of TLS 1.3 in the encrypted stream** is found by lengths: records of other stacks may look like it.
- **Requests side by side behind TLS.** Which response belongs to which request is encrypted.

## Why other tools differ

- A packet that fills a hole is new to an observer behind the loss. tshark decides by the time since the hole opened, tcptrace always
  calls it out of order: losses before the tap are missing from their retransmissions.
- Neither looks for copies made by the mirror: with every packet recorded twice, every packet is a retransmission to them. tshark also
  takes two mirrors of one connection for one.
- An acknowledgement that is recorded before its data makes the data a spurious retransmission to tshark.
- A handshake with a lost SYN-ACK is measured by tshark from the last SYN, answered or not.
- tcptrace counts the octet of a FIN as payload, and gives times in tenths of a millisecond.
`

// writePage writes the page with the table.
func writePage(w io.Writer, table *accuracy.Table, versions []string) error {
	if _, err := io.WriteString(w, intro); err != nil {
		return err
	}
	if err := table.Markdown(w); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nMade with:\n\n")
	for _, v := range versions {
		fmt.Fprintf(w, "- %s\n", v)
	}
	io.WriteString(w, notes)
	fmt.Fprint(w, "\n## Scenarios\n\n| scenario | what it shows |\n|---|---|\n")
	for _, s := range netlab.Scenarios {
		if _, err := fmt.Fprintf(w, "| %s | %s |\n", s.Name, s.Shows); err != nil {
			return err
		}
	}
	return nil
}
