# ask.bash SCRIPT WORD...: what bash completes the last word to
. "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
"$(complete -p mailfs | sed 's/.*-F \([^ ]*\).*/\1/')" "$1" "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
