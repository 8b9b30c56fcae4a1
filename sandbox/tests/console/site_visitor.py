"""Someone who asks the console without a browser."""

import http.client
import re
from urllib.parse import urlencode, urlsplit


class Visitor:
    """Sends requests to a student's console, with the key's cookie once it has been there."""

    def __init__(self, student):
        env = student.env | {"BROWSER": "true"}
        self.address = student.sandbox("console", env=env).stdout.strip()
        self.host = urlsplit(self.address).netloc
        self.cookie = ""

    def ask(self, path, method="GET", body=None, headers=None, size=None):
        """Send a request and return status, headers and text."""
        connection = http.client.HTTPConnection(self.host, timeout=60)
        sent = {"Cookie": self.cookie} if self.cookie else {}
        try:
            connection.request(method, path, body, sent | (headers or {}))
            answer = connection.getresponse()
            text = (answer.read(size) if size else answer.read()).decode(errors="replace")
            return answer.status, answer.headers, text
        finally:
            connection.close()

    def enter(self):
        """Come with the key, and keep the cookie."""
        status, headers, _ = self.ask(self.address.partition(self.host)[2])
        assert (status, headers["Location"]) == (303, "/console/")
        self.cookie = headers["Set-Cookie"].partition(";")[0]
        return headers["Set-Cookie"]

    def get(self, path):
        status, _, text = self.ask(path)
        assert status == 200, (path, status, text)
        return text

    def token(self):
        """Return the token of the forms."""
        return re.search(r'name="token" value="([^"]+)"', self.get("/console/"))[1]

    def post(self, path, headers=None, **fields):
        own = {"Origin": f"http://{self.host}", "Sec-Fetch-Site": "same-origin"}
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask(path, "POST", urlencode(fields), kind | own | (headers or {}))
