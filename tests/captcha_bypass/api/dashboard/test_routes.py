"""A task's page."""

from __future__ import annotations

from tests.support.dashboard_service import A, B, MakeDashboard
from tests.support.native_tasks import BASE


async def test_task_is_told_in_full_to_whoever_owns_it(make_dashboard: MakeDashboard) -> None:
    dashboard = await make_dashboard(api_key=(A, B))
    task_id = await dashboard.submit(X_API_Key=A)
    path = f"/dashboard/api/tasks/{task_id}"
    for answer in [
        await dashboard.ask("GET", path, X_API_Key=A),
        await dashboard.ask("GET", path, await dashboard.log_in(A)),
    ]:
        details = await answer.json()
        assert (details["id"], details["state"]) == (task_id, "running")
        assert details["asked"]["url"] == BASE["url"]
        assert details["waiting"] is None
    for foreign in (path, "/dashboard/api/tasks/none"):
        answer = await dashboard.ask("GET", foreign, X_API_Key=B)
        assert answer.status == 404
        assert (await answer.json())["error"]["code"] == "not_found"
