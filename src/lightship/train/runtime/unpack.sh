# Unpacks the files that came with a job, once for each pod, and lets Python import from them. Sourced before a program starts: by the shell
# that `lightship train` puts in front of it, or by bash itself, which reads the file that BASH_ENV names. Needs tar and gzip, no more.
# LIGHTSHIP_PARTS: the folder of this file and of the archive's parts. LIGHTSHIP_WORKSPACE: where the files shall be, in a folder for it alone.
unset BASH_ENV
if [ ! -d "$LIGHTSHIP_WORKSPACE" ]; then
  lightship_draft="$LIGHTSHIP_WORKSPACE.$$"
  mkdir -p "$lightship_draft" && cat "$LIGHTSHIP_PARTS"/part-* | tar -xzf - -C "$lightship_draft" || exit 1
  # Programs of one pod may unpack at the same time: the first one's files count.
  mv -T "$lightship_draft" "$LIGHTSHIP_WORKSPACE" 2>/dev/null || rm -rf "$lightship_draft"
fi
# Packages that the job asks for are in the environment already where Lightship runs the pod; elsewhere pip brings them.
if [ -n "${LIGHTSHIP_PACKAGES:-}" ] && [ ! -d /opt/lightship ]; then
  python3 -m pip install --quiet --user $LIGHTSHIP_PACKAGES || exit 1
fi
PYTHONPATH="$LIGHTSHIP_WORKSPACE${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONPATH LIGHTSHIP_WORKSPACE
