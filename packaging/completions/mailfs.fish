# fish completion for mailfs

# The accounts of the configuration file that the line names, or of the usual one.
function __mailfs_accounts
    set -l words (commandline -opc)
    set -l config
    for i in (seq 2 (count $words))
        switch $words[$i]
            case -c --config
                set config -c $words[(math $i + 1)]
            case '--config=*'
                set config -c (string replace -- --config= '' $words[$i])
        end
    end
    set config (string replace -r '^~/' $HOME/ -- $config)
    command -q $words[1]; and $words[1] $config --list-accounts 2>/dev/null
end

# What -o takes.
function __mailfs_keys
    string split ' ' -- 'config= tls=off auth= tls_ca= tls_cert= tls_key=' \
        'tls_fingerprint= password_command= password_file= oauth2_token_command= names=label names=uid ro' \
        'delete=flag delete=trash delete=expunge append_seen xattr inotify=on' \
        'inotify=off poll= idle= idle=off timeout= compress=auto' \
        'compress=on compress=off cache_size= delay_connect offline smtp=' \
        'smtp_tls=off smtp_auth= smtp_tls_fingerprint= smtp_password_command= smtp_password_file= from=' \
        'save_sent=auto save_sent=yes save_sent=no send_delay= dsn_notify= sandbox=auto' \
        'sandbox=off nonempty allow_other allow_root auto_unmount default_permissions' \
        'noatime nodiratime'
end

# How many arguments stand before the word.
function __mailfs_count
    set -l words (commandline -opc)
    set -l count 0
    set -l skip 1
    for word in $words
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case '--*=*'
            case -o -c --config --tls-ca --tls-cert --tls-key '--*-file' '--*-command'
                set skip 1
            case '-*'
            case '*'
                set count (math $count + 1)
        end
    end
    echo $count
end

complete -c mailfs -f
complete -c mailfs -n 'test (__mailfs_count) = 0; and not __fish_contains_opt all' -a '(__mailfs_accounts)' -d Account
complete -c mailfs -n 'test (__mailfs_count) = 0; and not __fish_contains_opt all check print-config' -a 'imaps:// imap:// pop3s:// pop3://' -d URL
complete -c mailfs -n 'test (__mailfs_count) = 1; or __fish_contains_opt all' -a '(__fish_complete_directories)'
complete -c mailfs -s f -d 'Stay in the foreground'
complete -c mailfs -s d -d 'Trace requests and protocol to stderr'
complete -c mailfs -s s -d 'Serve with a single thread'
complete -c mailfs -s o -x -d 'Options as in fstab' -a '(__fish_complete_list , __mailfs_keys)'
complete -c mailfs -s c -l config -r -F -d 'The configuration file'
complete -c mailfs -l all -d 'Mount every account'
complete -c mailfs -l check -d 'Try an account, or all'
complete -c mailfs -l list-accounts -d 'Print the names of the accounts'
complete -c mailfs -l print-config -d 'Print what holds for an account'
complete -c mailfs -l tls -x -a off -d 'Never encrypt'
complete -c mailfs -l auth -x -a 'external gssapi oauthbearer xoauth2 scram-sha-256-plus scram-sha-1-plus scram-sha-256 scram-sha-1 plain login cram-md5 apop' -d 'Log in by these alone'
complete -c mailfs -l smtp-auth -x -a 'external gssapi oauthbearer xoauth2 scram-sha-256-plus scram-sha-1-plus scram-sha-256 scram-sha-1 plain login cram-md5' -d 'Log in there by these alone'
complete -c mailfs -l tls-cert -r -F -d 'Show the server this certificate'
complete -c mailfs -l tls-key -r -F -d 'The key of that certificate'
complete -c mailfs -l tls-ca -r -F -d 'Trust the CA certificates in a file'
complete -c mailfs -l tls-fingerprint -x -d 'Trust the certificate with this digest'
complete -c mailfs -l password-command -x -d 'Command that prints the password'
complete -c mailfs -l password-file -r -F -d 'File that holds the password'
complete -c mailfs -l oauth2-token-command -x -d 'Command that prints the OAuth 2.0 token'
complete -c mailfs -l names -x -a 'label uid' -d 'What file names show'
complete -c mailfs -l ro -d 'Change nothing'
complete -c mailfs -l delete -x -a 'flag trash expunge' -d 'What rm does to a message'
complete -c mailfs -l append-seen -d 'New messages are marked as seen'
complete -c mailfs -l xattr -d 'Flags and more as extended attributes'
complete -c mailfs -l inotify -x -a 'on off' -d 'Tell watchers of folders the news'
complete -c mailfs -l poll -x -d 'How old a listing may be, in seconds'
complete -c mailfs -l idle -x -d 'Watch these folders first' -a 'off'
complete -c mailfs -l timeout -x -d 'How long the server may be silent, in seconds'
complete -c mailfs -l compress -x -a 'auto on off' -d 'Compress what goes over the line'
complete -c mailfs -l cache-size -x -d 'Disk space for messages'
complete -c mailfs -l delay-connect -d 'Mount first, then connect'
complete -c mailfs -l offline -d 'Never connect'
complete -c mailfs -l smtp -x -a 'smtps:// smtp://' -d 'Send what is put into outbox/ through this server'
complete -c mailfs -l smtp-tls -x -a off -d 'Never encrypt that'
complete -c mailfs -l smtp-tls-fingerprint -x -d 'Trust that certificate with this digest'
complete -c mailfs -l smtp-password-command -x -d 'Command that prints that password'
complete -c mailfs -l smtp-password-file -r -F -d 'File that holds that password'
complete -c mailfs -l from -x -d 'The sender of mail that names none'
complete -c mailfs -l save-sent -x -a 'auto yes no' -d 'File a copy of what was sent'
complete -c mailfs -l send-delay -x -d 'Time to think again, in seconds'
complete -c mailfs -l dsn-notify -x -a 'never success failure delay success+failure+delay' -d 'Reports'
complete -c mailfs -l sandbox -x -a 'auto off' -d 'Lock up the process'
complete -c mailfs -l nonempty -d 'Mount also over a directory that is not empty'
complete -c mailfs -l allow-other -d 'Let other users in'
complete -c mailfs -s h -l help -d 'Print help and exit'
complete -c mailfs -s V -l version -d 'Print the version and exit'
