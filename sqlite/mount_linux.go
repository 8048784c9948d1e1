package sqlite

import "syscall"

// remoteKinds are the magic numbers of file systems that keep files elsewhere.
var remoteKinds = map[uint32]string{
	0x6969:     "nfs",
	0x517B:     "smb",
	0xFF534D42: "cifs",
	0xFE534D42: "smb2",
	0x01021997: "9p",
	0x65735546: "fuse",
	0x00C36400: "ceph",
	0x0BD00BD0: "lustre",
	0x47504653: "gpfs",
	0x5346414F: "afs",
	0x73757245: "coda",
}

// remoteFileSystem reports whether a folder lies on a network file system. One
// that cannot be asked counts as local.
func remoteFileSystem(dir string) (kind string, remote bool) {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return "", false
	}
	kind, remote = remoteKinds[uint32(s.Type)]
	return kind, remote
}
