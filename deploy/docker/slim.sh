#!/bin/sh
# Takes out of a Debian what a service never runs: what installs, logs in, mounts, checks disks. Used
# by the Dockerfile only. dpkg keeps whatever something that stays needs (also where a name below is
# another one's in another release), and its list stays true for who looks for vulnerabilities.
set -eu

packages="
  apt adduser debian-archive-keyring gpgv libapt-pkg*
  libgnutls30* libp11-kit0 libtasn1-6 libhogweed* libnettle* libidn2-0 libunistring*
  login login.defs passwd libpam-runtime libpam-modules libpam-modules-bin libpam0g*
  libsemanage* libsepol2
  mount e2fsprogs logsave libext2fs2* libss2 bsdutils util-linux libfdisk1* libmount1* libblkid1*
  sysvinit-utils init-system-helpers usr-is-merged libsystemd0 libudev1 libgcrypt20 libgpg-error0
  liblz4-1 libseccomp2 libxxhash0 diffutils
"

# Patterns are dpkg's, not the shell's. Twice: some are needed by others that come later.
set -f
for pattern in $packages $packages; do
  for name in $(dpkg-query --show --showformat='${Package}\n' "$pattern" 2>/dev/null); do
    dpkg --purge --force-remove-essential "$name" >/dev/null 2>&1 || true
  done
done
set +f

# What builds packages has no business where they run.
for name in pip setuptools wheel pkg_resources ensurepip; do
  rm -rf /usr/local/lib/python3*/"$name" /usr/local/lib/python3*/site-packages/"$name" \
    /usr/local/lib/python3*/site-packages/"$name"-*.dist-info /usr/local/bin/"$name"*
done

# Conversions of other character sets, and what has been written while installing.
rm -rf /usr/lib/*-linux-gnu/gconv /usr/share/bash-completion /usr/share/gcc/python \
  /var/cache/debconf /var/cache/apt /var/lib/apt /var/log/* /var/lib/dpkg/*-old /var/tmp/* /root/.cache

# Nobody becomes another user here.
find / -xdev -type f -perm /6000 -exec chmod a-s {} +
