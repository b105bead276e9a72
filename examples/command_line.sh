#!/bin/sh
# Get past a challenge once, then download with curl: sh examples/command_line.sh https://example.com
# The service's address is in CAPTCHA_BYPASS_URL, its key in CAPTCHA_BYPASS_API_KEY.
set -eu
captcha-bypass solve "$1" --curl > again.sh # it has cookies in it: yours alone
sh again.sh
