package pcapgen

// ShopStart is when the shop's capture begins, ns since the Unix epoch:
// 2026-03-02T09:00:00Z.
const ShopStart = 1_772_442_000_000_000_000
