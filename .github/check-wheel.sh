#!/usr/bin/env bash
# Builds the wheel and uses it where nothing of the checkout can be found: what was forgotten in it shows here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$folder" .
python3 -m venv "$folder/environment"
"$folder/environment/bin/python" -m pip install --quiet --disable-pip-version-check "$folder"/*.whl
cd "$folder"
PATH="$folder/environment/bin:$PATH"
sagespec --version
sagespec init demo
cd demo
sagespec validate
sagespec images list --runtime process | grep xgboost # the programs of images/ are in the wheel

# Without the extras, what needs one says in one sentence which.
says() { # WORDS COMMAND…: the command fails, and says so
	local words=$1
	shift
	! "$@" >out 2>&1
	grep -F "$words" out || { cat out; exit 1; }
}
for command in api up dashboard; do
	says "pip install 'sagespec[web]'" sagespec "$command"
done
says "pip install 'sagespec[notebook]'" sagespec notebook --no-browser
says "pip install 'sagespec[notebook]'" sagespec notebook --install-kernel

# With them the pages are in the wheel too: templates, scripts, styles, and the licences of what others wrote.
python -m pip install --quiet --disable-pip-version-check "$(echo "$folder"/*.whl)[web]"
python - <<'END'
import json
import re
import subprocess
import urllib.request
from http.cookiejar import CookieJar
from importlib.resources import files

with subprocess.Popen(["sagespec", "dashboard", "--output", "json"], stdout=subprocess.PIPE, text=True) as process:
    try:
        url = json.loads(process.stdout.readline())["url"]
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        page = opener.open(url).read().decode()
        named = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
        sizes = {name: len(opener.open(url.partition("/?")[0] + name).read()) for name in named}
    finally:
        process.terminate()
assert "demo" in page and len(sizes) > 5 and all(sizes.values()), sizes
vendor = files("sagespec.dashboard") / "static" / "vendor"
licences = {one["licence_file"] for one in json.loads((vendor / "manifest.json").read_text()).values()}
assert licences and all("Permission" in (vendor / name).read_text() for name in licences), licences
print("pages and licences are there:", *sizes, *sorted(licences))
END
