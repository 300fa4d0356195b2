# Completion of custbackup(1) in bash. It needs nothing but bash itself.

_custbackup_options()
{
    local settings='--key-file= --spool-dir= --tool-path= --credentials-file= --ca-file= --proxy= --allow-local-targets --allow-http'
    local store='--store= --store-name= --token= --since= --until= --latest'

    case $1 in
        run) echo "--settings-fd=" ;;
        keygen) echo "--output=" ;;
        check-store) echo "--name= --json $settings" ;;
        encrypt-url) echo "$settings" ;;
        list) echo "--json $store $settings" ;;
        verify) echo "--sample= --deep --json $store $settings" ;;
        get) echo "--output= --unpack --json $store $settings" ;;
        restore) echo "--rewind --json $store $settings" ;;
    esac
}

_custbackup()
{
    local commands='run keygen check-store encrypt-url list verify get restore'
    local word=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]}

    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$word")
        return
    fi
    # Readline takes '--option=value' for three words.
    if [[ $word == '=' ]]; then
        word=
    elif [[ $option == '=' ]]; then
        option=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case $option in
        --key-file | --credentials-file | --ca-file | --output)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            ;;
        --spool-dir | --tool-path)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$word")
            ;;
        --store | --store-name | --name | --token | --since | --until | --sample | --proxy | --settings-fd) ;;
        *)
            mapfile -t COMPREPLY < <(compgen -W "$(_custbackup_options "${COMP_WORDS[1]}") --help" -- "$word")
            # No blank behind what wants a value.
            [[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null
            ;;
    esac
}

complete -F _custbackup custbackup
