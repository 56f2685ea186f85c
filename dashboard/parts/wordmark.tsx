/** The product's name and sign. */
export function Wordmark() {
  return (
    <span class="wordmark">
      <svg viewBox="0 0 32 32" aria-hidden="true">
        <rect width="32" height="32" rx="8" />
        <path d="M6 12c4-5 8 3 12-1s5-3 8-2M6 18c4-5 8 3 12-1s5-3 8-2M6 24c4-5 8 3 12-1s5-3 8-2" />
      </svg>
      <span>StreamFlow</span>
    </span>
  );
}
