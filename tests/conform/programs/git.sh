# SPDX-License-Identifier: GPL-2.0-or-later
# NEEDS: git
# git: hooks, merges, rebases, bisect, work trees, clones by every local transport, packs, its file system monitor, fsck.
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_DATE='2020-01-01 00:00:00 +0000' GIT_COMMITTER_DATE='2020-01-01 00:00:00 +0000' GIT_EDITOR=:
git config --global safe.directory '*'
git init -q -b main r && cd r || exit 1
for i in $(seq 40); do echo "line $i" >>file; echo $i >f$i; git add -A; git commit -qm "c$i"; done
echo "head: $(git rev-parse HEAD)"
git checkout -qb side HEAD~20 && echo side >other && git add -A && git commit -qm side
git merge -q -m merged main; echo "merge: $? $(git rev-parse HEAD^{tree})"
git checkout -q main; echo conflict >>file; git commit -qam conflict; git checkout -q side; echo clash >>file; git commit -qam clash
git merge -q main >/dev/null 2>&1; echo "conflict: $? $(git status --porcelain | head -1)"; git merge --abort
git rebase -q main~5 >/dev/null 2>&1; echo "rebase: $? $(git log --oneline | wc -l)"; git rebase --abort 2>/dev/null
git checkout -q main; git bisect start -q HEAD HEAD~30 >/dev/null 2>&1
git bisect run sh -c '[ $(wc -l <file) -lt 25 ]' >out 2>&1; echo "bisect: $(grep -c 'first bad commit' out) $(git show -s --format=%s refs/bisect/bad)"; git bisect reset -q 2>/dev/null
printf '#!/bin/sh\necho "hook: $(basename $0) $GIT_INDEX_FILE"\n' >.git/hooks/pre-commit; chmod +x .git/hooks/pre-commit
echo x >x; git add x; git commit -m x 2>&1 | grep hook:
git worktree add -q ../wt side; echo "worktree: $(git -C ../wt rev-parse --abbrev-ref HEAD)"
git gc -q --aggressive --prune=now; echo "gc: $? $(ls .git/objects/pack | sed 's/-.*[.]/./' | sort | tr '\n' ' ')"
git fsck --full --strict >/dev/null 2>&1; echo "fsck: $?"
cd ..; git clone -q r local; echo "clone: $? $(stat -c %h local/.git/objects/pack/*.pack)"
git clone -q --no-local file://"$PWD"/r far; echo "clone far: $? $(git -C far rev-parse HEAD)"
git clone -q --depth 3 file://"$PWD"/r shallow; echo "shallow: $? $(git -C shallow rev-list --count HEAD)"
(cd far && echo y >y && git add y && git commit -qm y && git push -q origin HEAD:refs/heads/pushed; echo "push: $?")
git -C r archive main | tar t | wc -l | sed 's/^/archive: /'
git -C r bundle create -q b main; git -C r bundle verify -q b >/dev/null 2>&1; echo "bundle: $?"
git -C r grep -c 'line 3' | sed 's/^/grep /'
git -C r log -S'line 7' --format=%s | tr '\n' ' ' | sed 's/^/pickaxe: /'; echo
git -C r stash -q 2>/dev/null; echo z >>r/file; git -C r stash -q; echo "stash: $(git -C r stash list | wc -l)"
git -C r submodule -q add ../far sub 2>/dev/null; git -C r -c protocol.file.allow=always submodule add -q ../far sub >/dev/null 2>&1; echo "submodule: $?"
: >r/.git/index.lock; git -C r add -A 2>/dev/null; echo "index lock: $?"; rm r/.git/index.lock
git -C r update-index --test-untracked-cache >/dev/null 2>&1; echo "untracked cache: $?"
git -C r repack -qadf --threads=4 --depth=50; echo "repack: $? $(git -C r count-objects -v | sed -n 's/in-pack: //p')"
