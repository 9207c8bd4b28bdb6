# SPDX-License-Identifier: MIT
"""Reads an EROFS disk without compression, from its description alone: a second opinion."""
import stat
import struct

PREFIX = {1: "user.", 2: "system.posix_acl_access", 3: "system.posix_acl_default",
          4: "trusted.", 6: "security."}


class Inode:
    def __init__(self, disk, nid):
        self.disk, self.nid = disk, nid
        self.at = disk.meta + 32 * nid
        (fmt, icount, self.mode, _, self.size, u, self.ino, self.uid, self.gid, self.mtime,
         self.mtime_ns, self.nlink) = struct.unpack_from("<HHHHQIIIIQII", disk.data, self.at)
        assert fmt & 1, "extended inode"
        self.inline = fmt >> 1 == 2
        self.xattr_bytes = 12 + 4 * (icount - 1) if icount else 0
        self.block = u
        self.rdev = (u >> 8 & 0xfff, u & 0xff | u >> 12 & 0xfff00)

    def content(self):
        whole = self.size - self.size % 4096 if self.inline else self.size
        out = self.disk.data[4096 * self.block:4096 * self.block + whole]
        if self.inline:
            at = self.at + 64 + self.xattr_bytes
            assert at // 4096 == (at + self.size % 4096 - 1) // 4096, "a tail over a block's end"
            out += self.disk.data[at:at + self.size % 4096]
        assert len(out) == self.size
        return out

    def xattrs(self):
        out, at = {}, self.at + 64 + 12
        while at < self.at + 64 + self.xattr_bytes:
            n, index, size = struct.unpack_from("<BBH", self.disk.data, at)
            name = PREFIX[index] + self.disk.data[at + 4:at + 4 + n].decode()
            out[name] = self.disk.data[at + 4 + n:at + 4 + n + size]
            at += (4 + n + size + 3) & ~3
        return out

    def names(self):
        out, data = [], self.content()
        for base in range(0, len(data), 4096):
            block = data[base:base + 4096]
            n = struct.unpack_from("<H", block, 8)[0] // 12
            entries = [struct.unpack_from("<QHB", block, 12 * k) for k in range(n)]
            ends = [e[1] for e in entries[1:]] + [len(block)]
            out += [(block[e[1]:end].rstrip(b"\0"), e[0], e[2]) for e, end in zip(entries, ends)]
        assert [n for n, _, _ in out] == sorted(n for n, _, _ in out), "names are sorted"
        return out


class Disk:
    def __init__(self, path):
        self.data = open(path, "rb").read()
        magic, _, _, bits, _, root, inodes = struct.unpack_from("<IIIBBHQ", self.data, 1024)
        assert magic == 0xe0f5e1e2 and bits == 12
        blocks, meta = struct.unpack_from("<II", self.data, 1024 + 36)
        assert 4096 * blocks == len(self.data)
        self.meta = 4096 * meta
        self.files, seen = {}, set()
        self._walk(Inode(self, root), Inode(self, root), "", seen)
        assert len(seen) == inodes, (len(seen), inodes)

    def _walk(self, inode, parent, path, seen):
        seen.add(inode.nid)
        self.files[path or "/"] = inode
        for name, nid, kind in inode.names():
            child = Inode(self, nid)
            assert kind == {stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFCHR: 3, stat.S_IFBLK: 4,
                            stat.S_IFIFO: 5, stat.S_IFLNK: 7}[stat.S_IFMT(child.mode)]
            if name in (b".", b".."):
                assert nid == (inode.nid if name == b"." else parent.nid)
                continue
            where = f"{path}/{name.decode()}"
            if kind == 2:
                self._walk(child, inode, where, seen)
            else:
                seen.add(nid)
                self.files[where] = child
