# ask.zsh DIR TEXT: what zsh completes TEXT to, with the completion in DIR; one a line.
zmodload zsh/zpty
zpty inner zsh -f -i
zpty -w inner "PS1= PS2= RPS1=; unsetopt zle_bracketed_paste 2>/dev/null; stty -echo -onlcr; bindkey '^X' complete-word"
zpty -w inner "fpath=(${(q)1} \$fpath); autoload -U compinit; compinit -u -D; zstyle ':completion:*' verbose no"
# Who adds matches tells them; questions of the completion functions among themselves are passed on.
zpty -w inner 'compadd() {
	local -a told
	if [[ ${@[1,(i)(-|--)]} == *(\ |)-[OAD]\ * ]]; then builtin compadd "$@"; return; fi
	builtin compadd -O told "$@"
	(( $#told )) && print -rl -- "told:"$^told
	builtin compadd "$@"
}'
zpty -w inner "finish() { print -r -- told'-all' }; comppostfuncs=(finish); print -r begin'-now'"
while zpty -r inner line && [[ $line != *begin-now* ]]; do :; done
zpty -w -n inner "$2"$'\C-X'
while zpty -r inner line; do
	line=${${line%%$'\n'*}%$'\r'}
	[[ $line == *told-all* ]] && break
	[[ $line == *told:* ]] && print -r -- ${line#*told:}
done
zpty -d inner
