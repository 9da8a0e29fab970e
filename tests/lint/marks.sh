# Nothing is left for later: no marks of unfinished work anywhere.
set -u
pattern='\b(TO''DO|FIX''ME|XX''X|HA''CK)\b'
! grep -rnIE "$pattern" --exclude-dir=.git --exclude-dir=build .
