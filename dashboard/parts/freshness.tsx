import { counted } from "../format/number.ts";
import { duration, exact, moment } from "../format/time.ts";
import { serverNowMs } from "../live/clock.ts";
import { overview } from "../stores/overview.ts";

/** How far the numbers are complete, in event time. */
export function Freshness() {
  const now = overview.value;
  if (now === null) return <p class="freshness">&nbsp;</p>;
  if (now.watermark === null) return <p class="freshness">Waiting for the first event</p>;
  const behindMs = serverNowMs.value - now.watermark;
  return (
    <p class="freshness">
      Complete until{" "}
      <time
        dateTime={exact(now.watermark)}
        title={`${exact(now.watermark)}, ${duration(behindMs)} ago`}
        data-stat="watermark"
      >
        {moment(now.watermark, serverNowMs.value)}
      </time>
      <span class="freshness-more">
        , {now.totals.late === 0 ? "nothing late" : counted(now.totals.late, "late event")}
      </span>
    </p>
  );
}
