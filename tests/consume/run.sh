#!/bin/sh
# Uses the library as a host does: `run.sh WAY SOURCE BUILD COMPILER CMAKE`, where WAY names a folder here.
# Everything happens in BUILD/consume/WAY. Neither the network nor git is needed, and the test fails if one is used.
set -eu
way=$1 source=$2 build=$3 compiler=$4 cmake=$5
here=$source/tests/consume
work=$build/consume/$way
rm -rf "$work"
mkdir -p "$work/bin"

# Makes every use of git or the network fail.
printf '#!/bin/sh\necho "git $*" >>"%s/git_was_used"\nexit 1\n' "$work" >"$work/bin/git"
chmod +x "$work/bin/git"
PATH=$work/bin:$PATH
http_proxy=http://127.0.0.1:9 https_proxy=$http_proxy
export PATH http_proxy https_proxy

CXX=$compiler
export CXX
command -v ninja >/dev/null 2>&1 && export CMAKE_GENERATOR=Ninja
command -v ccache >/dev/null 2>&1 && export CMAKE_CXX_COMPILER_LAUNCHER=ccache

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# host FOLDER OPTION...: configures, builds and runs the host in FOLDER.
host() {
    folder=$1
    shift
    rm -rf "$work/build"
    "$cmake" -S "$here/$folder" -B "$work/build" -DCMAKE_EXPORT_COMPILE_COMMANDS=ON "$@"
    "$cmake" --build "$work/build"
    "$work/build/host"
    if grep -E -- '-Werror|-Wconversion|ASIO_NO_DEPRECATED' "$work/build/compile_commands.json"; then
        fail "our own flags reached the host"
    fi
}

# Installs, then moves the installed files: no file may contain the folder where it was installed.
install_and_move() {
    "$cmake" --install "$build" --prefix "$work/first" >/dev/null
    mv "$work/first" "$work/moved"
    if grep -rl -e "$work/first" -e "$source" "$work/moved"; then
        fail "an installed file names a folder of this machine"
    fi
}

# folder_of HEADER: the folder in which the compiler finds it.
folder_of() {
    found=$(echo "#include <$1>" | "$compiler" -E -x c++ - 2>/dev/null |
        sed -n "s|^# [0-9]* \"\(/.*\)/$1\".*|\1|p" | head -n 1)
    [ -n "$found" ] || fail "<$1> is not installed, so there is nothing to make a mirror of"
    echo "$found"
}

# Packs the installed headers as the archives that the build would fetch, into $work/mirror.
make_mirror() {
    mkdir -p "$work/mirror" "$work/pack/asio-asio-1-30-2/asio/include" "$work/pack/include"
    asio=$(folder_of asio/version.hpp)
    json=$(folder_of nlohmann/json.hpp)
    cp -R "$asio/asio" "$asio/asio.hpp" "$work/pack/asio-asio-1-30-2/asio/include"
    cp -R "$json/nlohmann" "$work/pack/include"
    (cd "$work/pack" &&
        "$cmake" -E tar czf ../mirror/asio-1.30.2.tar.gz asio-asio-1-30-2 &&
        "$cmake" -E tar cf ../mirror/nlohmann_json-3.11.3.zip --format=zip include)
    asio_hash=$(hash_of "$work/mirror/asio-1.30.2.tar.gz")
    json_hash=$(hash_of "$work/mirror/nlohmann_json-3.11.3.zip")
}
hash_of() { "$cmake" -E sha256sum "$1" | cut -d ' ' -f 1; }

# copy_source FOLDER: copies the files that a release archive contains.
copy_source() {
    mkdir -p "$1/tests"
    for item in include cmake examples subprojects CMakeLists.txt LICENSE meson.build meson_options.txt; do
        cp -R "$source/$item" "$1"
    done
    cp -R "$source/tests/consume" "$source/tests/core" "$source/tests/main.cpp" "$1/tests"
}

# refuses WHAT SENTENCE OPTION...: configuring WHAT must fail, and the error must match the regular expression SENTENCE.
refuses() {
    what=$1 sentence=$2
    shift 2
    rm -rf "$work/refused"
    if "$cmake" -S "$what" -B "$work/refused" -DCMAKE_CXX_COMPILER_WORKS=ON "$@" >"$work/refused.log" 2>&1; then
        fail "taken, but should be refused: $*"
    fi
    # CMake wraps its messages, so line ends are removed.
    tr -s ' \n' ' ' <"$work/refused.log" | grep -Eq -- "$sentence" || {
        cat "$work/refused.log" >&2
        fail "this does not say '$sentence'"
    }
}
# takes WHAT OPTION...: configuring WHAT must succeed.
takes() {
    what=$1
    shift
    rm -rf "$work/taken"
    "$cmake" -S "$what" -B "$work/taken" -DCMAKE_CXX_COMPILER_WORKS=ON "$@" >"$work/taken.log" 2>&1 || {
        cat "$work/taken.log" >&2
        fail "should be taken: $*"
    }
}
# some_asio FOLDER NUMBER: makes a folder with the two headers that show the version of Asio.
some_asio() {
    mkdir -p "$work/$1/asio"
    : >"$work/$1/asio.hpp"
    echo "#define ASIO_VERSION $2" >"$work/$1/asio/version.hpp"
}

case $way in
dependencies)
    install_and_move
    some_asio new 103002
    some_asio old 101800
    nowhere="-DCMAKE_DISABLE_FIND_PACKAGE_asio=ON -DCMAKE_DISABLE_FIND_PACKAGE_Asio=ON"
    for from in "CMAKE_PREFIX_PATH=$work/moved" "UNDERSTUDY_SOURCE=$source"; do
        # A target of the host is judged by the version of its Asio, however the target names the folder.
        for form in plain linked linked_only expression config; do
            takes "$here/own_asio" -D"$from" -DFORM=$form -DASIO="$work/new"
            refuses "$here/own_asio" 'version "1\.18\.0".* at least "1\.22"' -D"$from" -DFORM=$form -DASIO="$work/old"
        done
    done
    # One of which the folder cannot be read is taken as it is.
    takes "$here/own_asio" -DUNDERSTUDY_SOURCE="$source" -DFORM=unreadable -DASIO="$work/new"
    # A given folder without Asio is refused.
    refuses "$here/find_package" 'Asio_INCLUDE_DIR is /nonexistent, which has no asio/version\.hpp' \
        -DCMAKE_PREFIX_PATH="$work/moved" -DAsio_INCLUDE_DIR=/nonexistent
    refuses "$here/add_subdirectory" 'Asio_INCLUDE_DIR is /nonexistent, which has no asio/version\.hpp' \
        -DUNDERSTUDY_SOURCE="$source" -DAsio_INCLUDE_DIR=/nonexistent
    # Asio is not installed, and nothing may be fetched.
    refuses "$here/add_subdirectory" \
        'Asio 1\.22 or newer is not installed.*Install it.*FETCHCONTENT_SOURCE_DIR_ASIO.*UNDERSTUDY_MIRROR' \
        -DUNDERSTUDY_SOURCE="$source" -DFETCHCONTENT_FULLY_DISCONNECTED=ON $nowhere
    takes "$here/add_subdirectory" -DUNDERSTUDY_SOURCE="$source" -DFETCHCONTENT_FULLY_DISCONNECTED=ON $nowhere \
        -DFETCHCONTENT_SOURCE_DIR_ASIO="$work/new"
    ;;
find_package)
    install_and_move
    host find_package -DCMAKE_PREFIX_PATH="$work/moved" -DCMAKE_UNITY_BUILD=ON
    host core -DCMAKE_PREFIX_PATH="$work/moved" -DCMAKE_DISABLE_FIND_PACKAGE_Asio=ON \
        -DCMAKE_DISABLE_FIND_PACKAGE_nlohmann_json=ON
    ;;
add_subdirectory)
    host add_subdirectory -DUNDERSTUDY_SOURCE="$source"
    if "$cmake" --build "$work/build" --target help | grep -E '_test|viewd'; then
        fail "our tests or programs are among the host's targets"
    fi
    ;;
fetch_content)
    make_mirror
    copy_source "$work/pack/understudy"
    (cd "$work/pack" && "$cmake" -E tar czf ../mirror/understudy.tar.gz understudy)
    set -- -DUNDERSTUDY_ARCHIVE="$work/mirror/understudy.tar.gz" \
        -DUNDERSTUDY_ARCHIVE_SHA256="$(hash_of "$work/mirror/understudy.tar.gz")" \
        -DUNDERSTUDY_MIRROR="$work/mirror" \
        -DCMAKE_DISABLE_FIND_PACKAGE_Asio=ON -DCMAKE_DISABLE_FIND_PACKAGE_nlohmann_json=ON
    # The archives packed here differ from the pinned ones, so without the given hashes they must be refused.
    if "$cmake" -S "$here/fetch_content" -B "$work/refused" "$@" >"$work/refused.log" 2>&1; then
        fail "an archive with the wrong hash was taken"
    fi
    grep -q '^ *expected: ' "$work/refused.log" || fail "not the refusal that was expected: see $work/refused.log"
    host fetch_content "$@" -DUNDERSTUDY_ASIO_SHA256="$asio_hash" -DUNDERSTUDY_NLOHMANN_JSON_SHA256="$json_hash"
    for name in asio nlohmann_json; do
        grep -q "_deps/$name-src" "$work/build/compile_commands.json" || fail "the fetched $name was not used"
    done
    ;;
pkg_config)
    install_and_move
    PKG_CONFIG_PATH=$work/moved/share/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
    export PKG_CONFIG_PATH
    sh "$here/pkg_config/build.sh" "$compiler" "$here/smallest.cpp" "$work/host"
    "$work/host"
    ;;
meson)
    # As a subproject; wrap fetches its dependencies from the mirror.
    make_mirror
    cp -R "$here/meson" "$work/project"
    cp "$here/smallest.cpp" "$work/project"
    copy_source "$work/project/subprojects/understudy"
    cp -R "$work/mirror" "$work/project/subprojects/packagecache"
    sed -i.old "s/^source_hash.*/source_hash = $asio_hash/" "$work/project/subprojects/understudy/subprojects/asio.wrap"
    sed -i.old "s/^source_hash.*/source_hash = $json_hash/" \
        "$work/project/subprojects/understudy/subprojects/nlohmann_json.wrap"
    meson setup --buildtype=plain --unity=on --unity-size=20 --force-fallback-for=asio,nlohmann_json \
        "$work/build" "$work/project"
    meson compile -C "$work/build"
    "$work/build/host"
    # By itself: its tests, and the files that it installs.
    copy_source "$work/alone"
    meson setup -Dtests=true --buildtype=plain --prefix="$work/installed" "$work/build_alone" "$work/alone"
    meson test -C "$work/build_alone"
    meson install -C "$work/build_alone" >/dev/null
    PKG_CONFIG_PATH=$work/installed/share/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
    export PKG_CONFIG_PATH
    sh "$here/pkg_config/build.sh" "$compiler" "$here/core/main.cpp" "$work/host"
    "$work/host"
    ;;
*)
    fail "no such way: $way"
    ;;
esac

[ ! -e "$work/git_was_used" ] || fail "git was used: $(cat "$work/git_was_used")"
echo "$way: works"
