package tlsmeta

import (
	"math/bits"
	"unsafe"
)

// What connections to one server told is the same for many: what is told of it
// shares its memory (memo.go). So that it need not be kept for each of them, Infos
// that are complete can be told apart.

// Settle lets go of what is needed only while a handshake is read.
func (i *Info) Settle() { i.offer = offer{} }

// Hash is the same for two Infos that are Same; for most others it is not.
func (i *Info) Hash() uint64 {
	h := mixed(uint64(i.Version)|uint64(i.Offered)<<16|uint64(i.Cipher)<<32|uint64(i.Group)<<48, uint64(i.Outcome))
	for _, s := range [...]*string{&i.SNI, &i.ALPN, &i.JA3, &i.JA3S, &i.JA4, &i.STARTTLS} {
		if *s != "" {
			h ^= uint64(uintptr(unsafe.Pointer(unsafe.StringData(*s))))
		}
		h = mixed(h, uint64(len(*s)))
	}
	if i.Alert != nil {
		h ^= uint64(i.Alert.Level)<<8 | uint64(i.Alert.Description)
	}
	h = mixed(h, uint64(uintptr(unsafe.Pointer(unsafe.SliceData(i.ALPNOffered)))))
	return mixed(h^uint64(uintptr(unsafe.Pointer(unsafe.SliceData(i.Certificates)))), uint64(uintptr(unsafe.Pointer(unsafe.SliceData(i.ClientCertificates)))))
}

func mixed(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd1b54a32d192ed03)
	return hi ^ lo
}

// Same tells whether two Infos say the same in the same memory.
func (i *Info) Same(o *Info) bool { return i.equals(o) || i.agrees(o) }

// equals tells whether all words of both are equal, which is soon known, and so if they
// are Same as a rule.
func (i *Info) equals(o *Info) bool {
	type words [unsafe.Sizeof(Info{})]byte
	return *(*words)(unsafe.Pointer(i)) == *(*words)(unsafe.Pointer(o))
}

func (i *Info) agrees(o *Info) bool {
	if i.Alert != nil && o.Alert != nil {
		if *i.Alert != *o.Alert {
			return false
		}
	} else if i.Alert != o.Alert {
		return false
	}
	return sameString(i.SNI, o.SNI) && sameString(i.ALPN, o.ALPN) && sameString(i.JA3, o.JA3) && sameString(i.JA3S, o.JA3S) && sameString(i.JA4, o.JA4) &&
		sameString(i.STARTTLS, o.STARTTLS) &&
		sameSlice(i.ALPNOffered, o.ALPNOffered) && sameSlice(i.Certificates, o.Certificates) && sameSlice(i.ClientCertificates, o.ClientCertificates) &&
		i.Version == o.Version && i.Offered == o.Offered && i.Cipher == o.Cipher && i.Group == o.Group && i.Outcome == o.Outcome &&
		i.SSLv2Hello == o.SSLv2Hello && i.HelloRetry == o.HelloRetry && i.Resumed == o.Resumed && i.Refused == o.Refused && i.EarlyData == o.EarlyData &&
		i.ECH == o.ECH && i.ESNI == o.ESNI && i.ClientCertificate == o.ClientCertificate && i.ClientCertificateKnown == o.ClientCertificateKnown &&
		i.CertificatesCut == o.CertificatesCut && i.offer == o.offer
}

func sameString(a, b string) bool {
	return len(a) == len(b) && (a == "" || unsafe.StringData(a) == unsafe.StringData(b))
}

func sameSlice[T any](a, b []T) bool {
	return len(a) == len(b) && unsafe.SliceData(a) == unsafe.SliceData(b)
}
