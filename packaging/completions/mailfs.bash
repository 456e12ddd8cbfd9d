# bash completion for mailfs

_mailfs() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local keys='config= tls=off auth= tls_ca= tls_cert= tls_key= tls_fingerprint= password_command= password_file= oauth2_token_command= names=label
		names=uid ro delete=flag delete=trash delete=expunge append_seen xattr inotify=on inotify=off
		poll= idle= idle=off timeout=
		compress=auto compress=on compress=off cache_size= delay_connect offline smtp= smtp_tls=off smtp_auth= smtp_tls_fingerprint=
		smtp_password_command= smtp_password_file= from= save_sent=auto save_sent=yes
		save_sent=no send_delay= dsn_notify= sandbox=auto sandbox=off nonempty allow_other allow_root
		auto_unmount default_permissions noatime'

	# "--key=value" comes as three words.
	[[ $cur == = ]] && cur=
	[[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD - 2]}

	case $prev in
	--tls | --smtp-tls)
		COMPREPLY=($(compgen -W 'off' -- "$cur"))
		return
		;;
	--auth | --smtp-auth)
		COMPREPLY=($(compgen -W 'external gssapi oauthbearer xoauth2 scram-sha-256-plus scram-sha-1-plus scram-sha-256 scram-sha-1 plain login cram-md5 apop' -- "$cur"))
		return
		;;
	--names)
		COMPREPLY=($(compgen -W 'label uid' -- "$cur"))
		return
		;;
	--compress)
		COMPREPLY=($(compgen -W 'auto on off' -- "$cur"))
		return
		;;
	--inotify)
		COMPREPLY=($(compgen -W 'on off' -- "$cur"))
		return
		;;
	--sandbox)
		COMPREPLY=($(compgen -W 'auto off' -- "$cur"))
		return
		;;
	--delete)
		COMPREPLY=($(compgen -W 'flag trash expunge' -- "$cur"))
		return
		;;
	--save-sent)
		COMPREPLY=($(compgen -W 'auto yes no' -- "$cur"))
		return
		;;
	--dsn-notify)
		COMPREPLY=($(compgen -W 'never success failure delay success+failure+delay' -- "$cur"))
		return
		;;
	-c | --config | --tls-ca | --tls-cert | --tls-key | --password-file | --smtp-password-file)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--tls-fingerprint | --password-command | --poll | --idle | --timeout | --cache-size | --smtp | \
		--smtp-tls-fingerprint | --smtp-password-command | --from | --send-delay)
		return
		;;
	-o)
		compopt -o nospace
		local done=
		[[ $cur == *,* ]] && done=${cur%,*},
		COMPREPLY=($(compgen -P "$done" -W "$keys" -- "${cur##*,}"))
		return
		;;
	esac

	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W '-f -d -s -o -c --config= --all --check
			--list-accounts --print-config --tls= --auth= --tls-ca= --tls-cert= --tls-key= --tls-fingerprint=
			--password-command= --password-file= --oauth2-token-command= --names= --ro --delete=
			--append-seen --xattr --inotify= --poll= --idle= --timeout=
			--compress= --cache-size= --delay-connect --offline --smtp= --smtp-tls= --smtp-auth= --smtp-tls-fingerprint=
			--smtp-password-command= --smtp-password-file= --from= --save-sent=
			--send-delay= --dsn-notify= --sandbox= --nonempty --allow-other -h --help
			-V --version' -- "$cur"))
		[[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
	else
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
	fi
}

complete -F _mailfs mailfs
