# shellcheck shell=bash
# Sourced by the image before the server starts, with `set -e` or without. A home on a hub is a
# volume of the user's own: it gets a copy of the notebooks, where the user changes them. A newer
# image brings newer ones, and what was there goes aside. A full home must not keep the user out.
nextaim_shipped=/opt/nextaim_kit/notebooks
nextaim_copy="${HOME}/nextaim_kit"
nextaim_partial="${HOME}/.nextaim_kit.partial"
nextaim_version="$(cd "${nextaim_shipped}" && find . -type f | LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum)"
if [ "$(cat "${nextaim_copy}/.version" 2>/dev/null)" != "${nextaim_version}" ]; then
    # A copy that is cut short is no copy: it takes its name when it is whole.
    {
        rm -rf "${nextaim_partial}" &&
            cp -r "${nextaim_shipped}" "${nextaim_partial}" &&
            echo "${nextaim_version}" >"${nextaim_partial}/.version" &&
            { [ ! -e "${nextaim_copy}" ] || mv -T "${nextaim_copy}" "${nextaim_copy}.$(date +%Y-%m-%d-%H%M%S)"; } &&
            mv -T "${nextaim_partial}" "${nextaim_copy}"
    } || echo "nextaim_kit: the notebooks were not copied to the home: is it full?" >&2
fi
if [ -d "${nextaim_copy}" ]; then
    export NEXTAIM_NOTEBOOKS="${nextaim_copy}"
fi
export NEXTAIM_RUNS="${NEXTAIM_RUNS:-${HOME}/nextaim_runs}"
unset nextaim_shipped nextaim_copy nextaim_partial nextaim_version
