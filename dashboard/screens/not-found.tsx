import { Empty } from "../parts/empty.tsx";
import { Link } from "../router.tsx";

/** An address that leads nowhere. */
export function NotFound() {
  return (
    <section class="panel not-found">
      <Empty why="There is no such page.">
        <Link to="/" class="button button-main">
          To the overview
        </Link>
      </Empty>
    </section>
  );
}
