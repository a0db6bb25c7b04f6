//! Boots the real app on free ports; scripted visitors. For tests only.
