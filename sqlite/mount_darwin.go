package sqlite

import (
	"strings"
	"syscall"
)

// remoteFileSystem reports whether a folder lies on a network file system. One
// that cannot be asked counts as local.
func remoteFileSystem(dir string) (kind string, remote bool) {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return "", false
	}
	var b strings.Builder
	for _, c := range s.Fstypename {
		if c == 0 {
			break
		}
		b.WriteByte(byte(c))
	}
	kind = b.String()
	switch kind {
	case "nfs", "smbfs", "afpfs", "webdav", "ftp", "9p":
		return kind, true
	}
	return kind, strings.Contains(kind, "fuse")
}
