"""The two house themes. Widgets use semantic variables only; a colour stands nowhere else."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="claif-dark",
    primary="#7fb4ca",
    secondary="#8f9fb3",
    accent="#7fb4ca",
    foreground="#d6dae0",
    background="#14171c",
    surface="#191d23",
    panel="#222831",
    success="#8fbc8b",
    warning="#e0b568",
    error="#e27d7d",
    dark=True,
    variables={
        "border": "#3a424d",
        "border-blurred": "#3a424d",
        "text-muted": "#8b95a3",
        "block-cursor-background": "#2b4450",
        "block-cursor-foreground": "#eef4f7",
        "block-cursor-text-style": "bold",
        "block-cursor-blurred-background": "#232b33",
        "block-cursor-blurred-foreground": "#d6dae0",
        "footer-background": "#191d23",
        "footer-key-foreground": "#7fb4ca",
        "footer-description-foreground": "#aeb6c1",
        "input-selection-background": "#7fb4ca 35%",
        "scrollbar": "#303843",
        "scrollbar-background": "#191d23",
        "scrollbar-corner-color": "#191d23",
        "scrollbar-background-hover": "#191d23",
        "scrollbar-background-active": "#191d23",
    },
)

LIGHT = Theme(
    name="claif-light",
    primary="#1f6f8b",
    secondary="#56616e",
    accent="#1f6f8b",
    foreground="#1f2429",
    background="#fbfaf7",
    surface="#f4f2ed",
    panel="#e9e6df",
    success="#2f6b34",
    warning="#8a5a00",
    error="#a12f2f",
    dark=False,
    variables={
        "border": "#c3beb3",
        "border-blurred": "#c3beb3",
        "text-muted": "#5f6873",
        "block-cursor-background": "#cfe3ea",
        "block-cursor-foreground": "#10242c",
        "block-cursor-text-style": "bold",
        "block-cursor-blurred-background": "#e6e9e6",
        "block-cursor-blurred-foreground": "#1f2429",
        "footer-background": "#f4f2ed",
        "footer-key-foreground": "#1f6f8b",
        "footer-description-foreground": "#454d56",
        "input-selection-background": "#1f6f8b 25%",
        "scrollbar": "#cfcabf",
        "scrollbar-background": "#f4f2ed",
        "scrollbar-corner-color": "#f4f2ed",
        "scrollbar-background-hover": "#f4f2ed",
        "scrollbar-background-active": "#f4f2ed",
    },
)

HOUSE = (DARK, LIGHT)
OFFERED = (
    "claif-dark",
    "claif-light",
    "ansi-dark",
    "ansi-light",
    "textual-dark",
    "textual-light",
    "nord",
    "gruvbox",
)
"""What Settings lists first; the palette reaches every theme."""
