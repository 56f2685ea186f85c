/**
 * Take the key out of a link like `…/#key=adm_…`, which `npm start` prints for the machine it runs on.
 * A fragment is never sent to a server, and it leaves the address bar and the history before anything else happens.
 *
 * @returns the key, or null when the address has none
 */
export function takeKeyFromAddress(): string | null {
  const found = /^#key=(.+)$/.exec(window.location.hash);
  if (found?.[1] === undefined) return null;
  window.history.replaceState(null, "", window.location.pathname + window.location.search);
  try {
    return decodeURIComponent(found[1]);
  } catch {
    return null;
  }
}
