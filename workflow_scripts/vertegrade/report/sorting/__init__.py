"""Tables whose heads sort them, on any page: `sortable.js` and `sortable.css`."""
