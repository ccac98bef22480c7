# SPDX-License-Identifier: GPL-2.0-or-later
# NEEDS: git
# A repository: init, commits, branches, merge, clone, fetch, rebase, status, gc, grep.
export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
git config --global user.name tester; git config --global user.email tester@example.invalid; git config --global init.defaultBranch main
git config --global gc.autoDetach false; git config --global maintenance.auto false; git config --global advice.detachedHead false
git init -q one; cd one
for i in $(seq 60); do mkdir -p d$((i % 7)); echo "file $i" >d$((i % 7))/f$i; done
git add .; git commit -qm first; git log --format='%h %s'; git status --short; echo change >>d1/f1; git status --short; git diff --stat
git checkout -qb side; git commit -qam 'on the side'; git checkout -q main; git rm -q d2/f2; git mv d3/f3 d3/moved; echo new >new; git add new; git commit -qm second
git merge -q -m merge side; git log --oneline --graph; git tag v1; cd ..
git clone -q one two; cd two; git log -1 --format=%H; ls | wc -l; echo more >more; git add more; git commit -qm third; git push -q origin HEAD:refs/heads/from-two; cd ../one
git branch -a; git gc -q; git fsck 2>&1; git count-objects -v | grep -v size; git grep -c file | wc -l; git stash -q 2>&1; git archive HEAD | tar tf - | wc -l
git clone -q --bare . ../bare.git; git -C ../bare.git rev-parse HEAD; git -c core.pager=cat log --stat -1 | tail -1; git rev-list --objects --all | wc -l; git blame new | cut -d' ' -f1
cp -r . ../copy; cd ../copy; git status --short; git bisect start -q 2>&1; git rebase -q side 2>&1; git log -1 --format=%s; git worktree add -q ../tree v1; ls ../tree | wc -l
