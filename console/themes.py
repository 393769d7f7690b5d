"""Four color themes: dark, light, high contrast, and the terminal's own colors (contract §10).

Blue means good and orange means bad, because many people cannot tell green from red. Style sheets use only the
variables named here and Textual's own, so a state looks the same on every screen.
"""

from __future__ import annotations

from textual.theme import Theme

DARK = "mlconsole-dark"
LIGHT = "mlconsole-light"
HIGH_CONTRAST = "mlconsole-high-contrast"
ANSI = "mlconsole-ansi"

SHORT_NAMES = {"dark": DARK, "light": LIGHT, "high-contrast": HIGH_CONTRAST, "ansi": ANSI}
"""Theme names for the configuration."""

VARIABLES = {
    "verdict-good": "#6cb6ff",
    "verdict-quiet": "#8b949e",
    "verdict-unknown": "#e3c06a",
    "verdict-bad": "#ff9a4d",
    "quiet": "#8b949e",
    "faint": "#57606a",
    "frame": "#3d4650",
    "frame-focus": "#6cb6ff",
    "alarm": "#1b1206",
    "alarm-background": "#ff9a4d",
    "row-cursor": "#1c2733",
}
"""Default values for themes that do not define our variables, such as Textual's own."""

_DARK = Theme(
    name=DARK,
    primary="#6cb6ff",
    secondary="#8cb4d9",
    warning="#e3c06a",
    error="#ff9a4d",
    success="#6cb6ff",
    accent="#6cb6ff",
    foreground="#d7dde4",
    background="#0f1419",
    surface="#0f1419",
    panel="#182028",
    dark=True,
    variables={**VARIABLES, "footer-background": "#0f1419", "footer-key-foreground": "#6cb6ff"},
)

_LIGHT = Theme(
    name=LIGHT,
    primary="#0550ae",
    secondary="#33658f",
    warning="#7d5a00",
    error="#b3400a",
    success="#0550ae",
    accent="#0550ae",
    foreground="#1f2328",
    background="#fbfbf9",
    surface="#fbfbf9",
    panel="#eeeeea",
    dark=False,
    variables={
        "verdict-good": "#0550ae",
        "verdict-quiet": "#5b636b",
        "verdict-unknown": "#7d5a00",
        "verdict-bad": "#b3400a",
        "quiet": "#5b636b",
        "faint": "#8c959f",
        "frame": "#b6bcc2",
        "frame-focus": "#0550ae",
        "alarm": "#ffffff",
        "alarm-background": "#b3400a",
        "row-cursor": "#dfe7ee",
        "footer-background": "#fbfbf9",
        "footer-key-foreground": "#0550ae",
    },
)

_HIGH_CONTRAST = Theme(
    name=HIGH_CONTRAST,
    primary="#9fd0ff",
    secondary="#ffffff",
    warning="#ffe06b",
    error="#ffb347",
    success="#9fd0ff",
    accent="#9fd0ff",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#000000",
    dark=True,
    variables={
        "verdict-good": "#9fd0ff",
        "verdict-quiet": "#ffffff",
        "verdict-unknown": "#ffe06b",
        "verdict-bad": "#ffb347",
        "quiet": "#e6e6e6",
        "faint": "#bdbdbd",
        "frame": "#ffffff",
        "frame-focus": "#ffe06b",
        "alarm": "#000000",
        "alarm-background": "#ffb347",
        "row-cursor": "#2b2b2b",
        "footer-background": "#000000",
        "footer-key-foreground": "#ffe06b",
    },
)

_ANSI = Theme(
    name=ANSI,
    ansi=True,
    primary="ansi_bright_blue",
    secondary="ansi_cyan",
    warning="ansi_yellow",
    error="ansi_yellow",
    success="ansi_bright_blue",
    accent="ansi_bright_blue",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    variables={
        "verdict-good": "ansi_bright_blue",
        "verdict-quiet": "ansi_default",
        "verdict-unknown": "ansi_cyan",
        "verdict-bad": "ansi_yellow",
        "quiet": "ansi_default",
        "faint": "ansi_default",
        "frame": "ansi_default",
        "frame-focus": "ansi_bright_blue",
        "alarm": "ansi_black",
        "alarm-background": "ansi_yellow",
        "row-cursor": "ansi_default",
        "ansi-background": "ansi_black",
        "ansi-foreground": "ansi_white",
        "border": "ansi_bright_blue",
        "border-blurred": "ansi_default",
        "block-cursor-foreground": "ansi_default",
        "block-cursor-background": "ansi_default",
        "block-cursor-text-style": "bold reverse",
        "footer-key-foreground": "ansi_bright_blue",
        "button-focus-text-style": "bold reverse",
    },
)

THEMES = (_DARK, _LIGHT, _HIGH_CONTRAST, _ANSI)


def theme_name(wanted: str, *, few_colors: bool) -> str:
    """Return the first theme: the requested one, else dark. A terminal with only its own colors gets those."""
    if few_colors:
        return ANSI
    return SHORT_NAMES.get(wanted, wanted) or DARK
