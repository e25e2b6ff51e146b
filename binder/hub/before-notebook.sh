# shellcheck shell=bash
# Sourced by the image before the server starts. A home on a hub is a volume of the user's own: it
# gets a copy of the notebooks once, and what the user changes there stays.
if [ ! -e "${HOME}/nextaim_kit" ]; then
    # A copy that is cut short, by a full volume or a server that is stopped, is no copy.
    rm -rf "${HOME}/.nextaim_kit.partial"
    cp -r /opt/nextaim_kit/notebooks "${HOME}/.nextaim_kit.partial"
    mv -T "${HOME}/.nextaim_kit.partial" "${HOME}/nextaim_kit"
fi
export NEXTAIM_NOTEBOOKS="${HOME}/nextaim_kit"
export NEXTAIM_RUNS="${NEXTAIM_RUNS:-${HOME}/nextaim_runs}"
