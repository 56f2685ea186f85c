/** Rows of the final height while the first snapshot is on its way. */
export function SkeletonRows({ count }: { count: number }) {
  return (
    <ul class="skeleton-rows" aria-hidden="true">
      {Array.from({ length: count }, (_, i) => (
        <li key={i}>
          <span class="skeleton" />
        </li>
      ))}
    </ul>
  );
}
