// Says whether fonts of the document are on their way: "loading", or "loaded".
() => document.fonts.status
