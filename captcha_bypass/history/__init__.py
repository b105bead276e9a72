"""What the last tasks came to, for the operator's page, and the evidence of those that failed."""

from captcha_bypass.history.entries import TaskEntry
from captcha_bypass.history.evidence import Evidence, EvidenceStore
from captcha_bypass.history.minutes import Minute
from captcha_bypass.history.ring import History
from captcha_bypass.history.timeline import Timeline

__all__ = ["Evidence", "EvidenceStore", "History", "Minute", "TaskEntry", "Timeline"]
