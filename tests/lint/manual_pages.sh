# The manual pages are flawless mdoc, and every installed program has one.
set -u
command -v mandoc >/dev/null || { echo "mandoc is not installed"; exit 77; }
status=0
pages=$(find tapstack httpd cli -name '*.[1-8]' | sort)
for program in tapstackd tapstack-httpd tapctl tapstack-lab; do
    case "$pages" in
    */$program.*) ;;
    *)
        echo "Makefile:1: $program has no manual page"
        status=1
        ;;
    esac
done
for page in $pages; do
    mandoc -Tlint -Wwarning "$page" || status=1
done
exit $status
