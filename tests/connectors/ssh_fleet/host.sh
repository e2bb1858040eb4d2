# A host of its own in a mount and process namespace: nothing of the machine's /etc, /home, /run changes.
# $1 its folder, $2 its port, $3 the program, $4 our public key, $5 an authority's.
set -eu
room=$1 port=$2
mount --make-rprivate /
mkdir "$room/home" "$room/run" "$room/sbin" "$room/etc"
cp -a /etc/. "$room/etc"
mount --bind "$room/etc" /etc
mount --bind "$room/home" /home
mount --bind "$room/run" /run
mount --bind "$room/sbin" /usr/local/sbin
mkdir -p /run/sshd /etc/ssh/keys
install -m 0755 "$3" /usr/local/sbin/lockstep-access
sed -i /pam_loginuid/d /etc/pam.d/sshd  # may not be written in a container
useradd --system --create-home --shell /bin/sh lockstep
usermod -p '*' lockstep
install -m 0440 "$room/sudoers" /etc/sudoers.d/lockstep-access
rm -f /etc/ssh/ssh_host_*
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
cat >/etc/ssh/sshd_config <<CONFIG
Port $port
ListenAddress 127.0.0.1
HostKey /etc/ssh/ssh_host_ed25519_key
UsePAM yes
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/keys/%u
RevokedKeys /etc/ssh/revoked
TrustedUserCAKeys /etc/ssh/ca.pub
PidFile none
CONFIG
: >/etc/ssh/revoked
cp "$5" /etc/ssh/ca.pub
sed "s|^|$(cat "$room/restrict") |" "$4" >/etc/ssh/keys/lockstep
chmod 644 /etc/ssh/keys/lockstep
chmod 755 /etc/ssh/keys
cp /etc/ssh/ssh_host_ed25519_key.pub "$room/host.pub"
exec /usr/sbin/sshd -D -e
