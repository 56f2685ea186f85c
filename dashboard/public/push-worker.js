// Shows alerts that come by Web Push while no page is open. What it gets is core/alerts/channels/push.ts's payload:
// {type, title, body, tag, url}. One notification per alert: a later one takes the place of an earlier.
self.addEventListener("push", (event) => {
  const message = readMessage(event.data);
  event.waitUntil(
    self.registration.showNotification(message.title, {
      body: message.body,
      tag: message.tag,
      renotify: message.tag !== "" && message.type === "alert.firing",
      icon: "/favicon.svg",
      data: { url: message.url },
    }),
  );
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(openPage(event.notification.data.url));
});

/** A push that cannot be read must be shown all the same: browsers take the subscription away from workers that stay silent. */
function readMessage(data) {
  let found = {};
  try {
    found = data.json() ?? {};
  } catch {
    // Nothing in it, or not JSON.
  }
  const text = (name, otherwise) => (typeof found[name] === "string" ? found[name] : otherwise);
  return {
    type: text("type", ""),
    title: text("title", "StreamFlow"),
    body: text("body", "An alert changed."),
    tag: text("tag", ""),
    url: ownPage(text("url", "/alerts")),
  };
}

/** Only pages of this site are opened. */
function ownPage(url) {
  const wanted = URL.parse(url, self.location.origin);
  return wanted !== null && wanted.origin === self.location.origin ? wanted.href : `${self.location.origin}/alerts`;
}

async function openPage(url) {
  const pages = await self.clients.matchAll({ type: "window" });
  const open = pages.find((page) => page.url.startsWith(self.location.origin));
  if (open === undefined) await self.clients.openWindow(url);
  else await open.focus();
}
