# The top level holds what the house has there, and nothing else.
set -u
status=0
for path in .[!.]* *; do
    case $path in
    .git | .gitignore | .clang-format | .ci | Makefile | README.md | LICENSE) ;;
    tapstack | httpd | cli | captures | tests | build) ;;
    *)
        echo "$path:1: does not belong at the top level"
        status=1
        ;;
    esac
done
for path in tapstack/*; do
    case ${path#tapstack/} in
    wire | link | core | host | api | lab) ;;
    *)
        echo "$path:1: is not a folder of the house"
        status=1
        ;;
    esac
done
exit $status
