package sqlite

import (
	"encoding/binary"
	"hash/crc64"

	"github.com/daruma-run/daruma"
)

// sum collects the columns of a row for its checksum, which finds what a disk
// changed by accident. What somebody changes on purpose is found by the chain
// of hashes, in events alone.
type sum []byte

func (s sum) integer(n int64) sum { return binary.LittleEndian.AppendUint64(s, uint64(n)) }

func (s sum) text(t string) sum { return append(s.integer(int64(len(t))), t...) }

func (s sum) bytes(b []byte) sum { return append(s.integer(int64(len(b))), b...) }

// value returns the checksum as it is stored.
func (s sum) value() int64 { return int64(crc64.Checksum(s, crc64.MakeTable(crc64.ECMA))) }

// sum returns the checksum of a run's row. Its number is not in it: that of
// another run has other events, which do not match.
func (r *row) sum() int64 {
	s := make(sum, 0, 512)
	return s.text(string(r.id)).text(string(r.tenant)).text(r.typ).text(r.name).integer(int64(r.state)).text(r.note).
		integer(r.head).integer(r.epoch).text(r.node).integer(r.wakeAt).integer(r.started).integer(r.updated).
		integer(r.checkpoint).bytes(r.hash[:]).integer(r.lost).value()
}

// postSum covers what a post says.
func postSum(p *daruma.Post, micros int64) int64 {
	return sum{}.text(string(p.Run)).text(string(p.Tenant)).text(p.Topic).text(p.Key).bytes(p.Payload).text(string(p.By)).integer(micros).value()
}

// postMark covers whether it has been folded in.
func postMark(run daruma.RunID, tenant daruma.Tenant, topic, key string, folded int64) int64 {
	return sum{}.text(string(run)).text(string(tenant)).text(topic).text(key).integer(folded).value()
}

// keySum covers a claimed key.
func keySum(tenant daruma.Tenant, key string, run daruma.RunID, fingerprint []byte, until int64) int64 {
	return sum{}.text(string(tenant)).text(key).text(string(run)).bytes(fingerprint).integer(until).value()
}

// approvalSum covers an approval.
func approvalSum(id string, tenant daruma.Tenant, run daruma.RunID, body []byte, closed int64) int64 {
	return sum{}.text(id).text(string(tenant)).text(string(run)).bytes(body).integer(closed).value()
}

// budgetSum covers what a budget has spent.
func budgetSum(tenant daruma.Tenant, name string, spent int64) int64 {
	return sum{}.text(string(tenant)).text(name).integer(spent).value()
}

// grantSum covers a grant.
func grantSum(tenant daruma.Tenant, id, budget, node string, drawn, settled, closed int64) int64 {
	return sum{}.text(string(tenant)).text(id).text(budget).text(node).integer(drawn).integer(settled).integer(closed).value()
}

// damaged is the failure of a row that does not match its checksum.
func damaged(what, name string) error {
	return daruma.Fail("", daruma.KindCorrupt, "the stored %s %q does not match its checksum", what, name)
}
