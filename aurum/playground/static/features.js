// What the page's server offers beyond the service; a server that has more sends its own version.

export const FIND = false;
