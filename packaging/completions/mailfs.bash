# bash completion for mailfs

# The accounts of the configuration file that the line names, or of the usual one.
_mailfs_accounts() {
	local i file config=()

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-c | --config)
			file=${COMP_WORDS[i + 1]}
			[[ $file == = ]] && file=${COMP_WORDS[i + 2]}
			config=(-c "${file/#\~\//$HOME/}")
			;;
		esac
	done
	"$1" "${config[@]}" --list-accounts 2>/dev/null
}

# _mailfs_words PREFIX WORD...
_mailfs_words() {
	local prefix=$1
	shift
	mapfile -t COMPREPLY < <(compgen -W "$*" -- "$prefix")
}

_mailfs_files() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen "$1" -- "$2")
}

# _mailfs_value KEY PREFIX: of a long option or a key of -o, '-' and '_' alike. Fails if it has none.
_mailfs_value() {
	case ${1//_/-} in
	auth)
		_mailfs_words "$2" external gssapi oauthbearer xoauth2 scram-sha-256-plus \
			scram-sha-1-plus scram-sha-256 scram-sha-1 plain login cram-md5 apop
		;;
	smtp-auth)
		_mailfs_words "$2" external gssapi oauthbearer xoauth2 scram-sha-256-plus \
			scram-sha-1-plus scram-sha-256 scram-sha-1 plain login cram-md5
		;;
	tls | smtp-tls | idle) _mailfs_words "$2" off ;;
	names) _mailfs_words "$2" label uid ;;
	compress) _mailfs_words "$2" auto on off ;;
	inotify) _mailfs_words "$2" on off ;;
	sandbox) _mailfs_words "$2" auto off ;;
	delete) _mailfs_words "$2" flag trash expunge ;;
	save-sent) _mailfs_words "$2" auto yes no ;;
	dsn-notify) _mailfs_words "$2" never success failure delay success+failure+delay ;;
	config | tls-ca | tls-cert | tls-key | password-file | smtp-password-file)
		_mailfs_files -f "$2"
		;;
	tls-fingerprint | password-command | oauth2-token-command | poll | timeout | cache-size | smtp | \
		smtp-tls-fingerprint | smtp-password-command | from | send-delay) ;;
	*) return 1 ;;
	esac
}

# The keys of -o, behind those that are there already.
_mailfs_keys() {
	local given=

	[[ $1 == *,* ]] && given=${1%,*},
	mapfile -t COMPREPLY < <(compgen -P "$given" -W 'config= tls= auth= tls_ca= tls_cert= tls_key=
		tls_fingerprint= password_command= password_file= oauth2_token_command= names= ro
		delete= append_seen xattr inotify= poll= idle= timeout= compress= cache_size=
		delay_connect offline smtp= smtp_tls= smtp_auth= smtp_tls_fingerprint=
		smtp_password_command= smtp_password_file= from= save_sent= send_delay= dsn_notify=
		sandbox= nonempty allow_other allow_root auto_unmount default_permissions noatime
		nodiratime' \
		-- "${1##*,}")
	compopt -o nospace 2>/dev/null
}

_mailfs_options() {
	mapfile -t COMPREPLY < <(compgen -W '-f -d -s -o -c --config= --all --check --list-accounts
		--print-config --tls= --auth= --tls-ca= --tls-cert= --tls-key= --tls-fingerprint=
		--password-command= --password-file= --oauth2-token-command= --names= --ro --delete=
		--append-seen --xattr --inotify= --poll= --idle= --timeout= --compress= --cache-size=
		--delay-connect --offline --smtp= --smtp-tls= --smtp-auth= --smtp-tls-fingerprint=
		--smtp-password-command= --smtp-password-file= --from= --save-sent= --send-delay=
		--dsn-notify= --sandbox= --nonempty --allow-other -h --help -V --version' -- "$1")
	[[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
}

# How many arguments stand before the word, and in `action` what is done.
_mailfs_count() {
	local i count=0

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--all | --check | --print-config) action=${COMP_WORDS[i]} ;;
		[=:]) ((i++)) ;;
		--*)
			_mailfs_value "${COMP_WORDS[i]#--}" '' && [[ ${COMP_WORDS[i + 1]} != = ]] && ((i++))
			;;
		-*[oc]) ((i++)) ;;
		-*) ;;
		*) ((count++)) ;;
		esac
	done
	COMPREPLY=()
	return $count
}

_mailfs() {
	local cur=${COMP_WORDS[COMP_CWORD]} at=$COMP_CWORD action= prev key

	COMPREPLY=()
	# '=' and ':' are words of their own: "--auth=plain:login" is five, and so is that behind -o.
	[[ $cur == [=:] ]] && cur= && ((at++))
	while [[ ${COMP_WORDS[at - 1]} == : ]]; do
		((at -= 2))
	done
	prev=${COMP_WORDS[at - 1]}
	if [[ $prev == = && $cur != *,* ]]; then
		key=${COMP_WORDS[at - 2]##*,}
		_mailfs_value "${key#--}" "$cur"
	elif [[ $prev == -c ]]; then
		_mailfs_files -f "$cur"
	elif [[ $prev == -[!-]*o || $prev == -o || $prev == = ]]; then
		_mailfs_keys "$cur"
	elif [[ $prev == --* ]] && _mailfs_value "${prev#--}" "$cur"; then
		return
	elif [[ $cur == -* ]]; then
		_mailfs_options "$cur"
	else
		_mailfs_count
		case $?$action in
		0 | 0--check | 0--print-config) _mailfs_words "$cur" "$(_mailfs_accounts "$1")" ;;
		*) _mailfs_files -d "$cur" ;;
		esac
	fi
}

complete -F _mailfs mailfs
