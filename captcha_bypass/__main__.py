"""`python -m captcha_bypass` is the console script `captcha-bypass`."""

from captcha_bypass.cli import main

main()
